/** What this kernel's verifier says of each program of the datapath, each loaded by itself, and gone again. */
import type { ObjectName } from '../../../impl/forward/datapath.ts';
import { BpfObject } from '../../../impl/libbpf/object.ts';
import { bpfObjectPath } from '../../../impl/objects.ts';

/** One that is missing is an error of types. */
const OBJECTS = Object.keys({
	redirect: true,
	ipvlan: true,
	identity: true,
	low_ports: true,
	tls_connect: true,
	tls_udp: true,
	tls_netns: true,
} satisfies Record<ObjectName, true>) as ObjectName[];

export interface VerifierSays {
	program: string;
	/** statistics, or what the kernel refused */
	log: string;
	/** null: it is loaded */
	refused: string | null;
}

export function askVerifier(): VerifierSays[] {
	return OBJECTS.flatMap((name) => programsOf(name).map((program) => ask(name, program)));
}

function programsOf(name: ObjectName): string[] {
	using object = BpfObject.open(bpfObjectPath(name));
	return object.programs;
}

function ask(name: ObjectName, program: string): VerifierSays {
	using object = BpfObject.open(bpfObjectPath(name)).loadOnly([program]);
	const log = object.verifierStatistics(program);
	try {
		object.load();
	} catch (error) {
		return { program, log: log(), refused: (error as Error).message };
	}
	return { program, log: log(), refused: null };
}
