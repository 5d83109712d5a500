/** One change of a host's state: a plan is a list of them, which a dry run prints and a real one carries out. */
export interface Step {
	/** as one would type it, where there is a command for it: `ip link add name web type veth …` */
	what: string;
	run(): Promise<void> | void;
}
