/** Somebody else's program in a lab: loaded as it is, and attached by the newest way that the kernel has, before the datapath's own. */
import { DatapathError } from '../../../impl/errors.ts';
import { type Attachment, attach, type HookPoint } from '../../../impl/forward/attach.ts';
import { BpfObject } from '../../../impl/libbpf/object.ts';
import { explained } from './explain.ts';

export interface LoadOptions {
	/** a device of the host */
	device: string;
	hook: 'netkit' | 'tc';
	point: HookPoint;
	/** the object's only one, without */
	program?: string;
}

/** `path` is that of an object in the guest. Throws a PathproofError that quotes the verifier where it is refused. */
export function loadProgram(path: string, options: LoadOptions): Promise<Attachment> {
	return explained(() => load(path, options));
}

function load(path: string, { device, hook, point, program }: LoadOptions): Attachment {
	using object = BpfObject.open(path);
	const name = program ?? only(object.programs, path);
	object.loadOnly([name]).load();
	return attach({ name, fd: object.programFd(name) }, { device, hook, point, first: true });
}

function only(programs: readonly string[], path: string): string {
	const [name, ...more] = programs;
	if (name && !more.length) return name;
	throw new DatapathError(`${path} has ${programs.length} programs`, { hint: `name one: ${programs.join(', ')}` });
}
