/** No device: a process of the host, in a cgroup of its own. */
import { testMatrix } from './matrix.ts';

testMatrix(['none']);
