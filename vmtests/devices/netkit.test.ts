/** A pair that judges in the sender's own call. */
import { testMatrix } from './matrix.ts';

testMatrix(['netkit-l2', 'netkit-l3']);
