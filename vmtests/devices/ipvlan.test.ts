/** A slave of the uplink: no device of the host is between. */
import { testMatrix } from './matrix.ts';

testMatrix(['ipvlan-l2', 'ipvlan-l3', 'ipvlan-l3s']);
