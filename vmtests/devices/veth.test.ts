/** Two Ethernet devices: what one sends waits for a softirq at the other. */
import { testMatrix } from './matrix.ts';

testMatrix(['veth']);
