/** Where the programs are attached that turn a container's flows. */
import type { ContainerSpec } from '../container.ts';
import { INNER, pairKind } from '../devices/device.ts';
import { cgroupId, cgroupOf } from '../identity/cgroup.ts';
import type { TlsPlace } from './links.ts';
import { netnsNameOf, type ProxyCgroup } from './netns.ts';
import { isOfProxy, ON_DEVICE, type TlsProgram } from './programs.ts';

/** What is there by now: throws no error of its own for what is not. */
export function placeOf(spec: ContainerSpec, program: TlsProgram, proxy: ProxyCgroup): TlsPlace {
	if (isOfProxy(program)) return proxy;
	const netns = netnsNameOf(spec);
	switch (deviceOf(program)) {
		case 'eth0':
			return { netns, device: INNER, kind: 'tcx/egress' };
		case 'lo':
			return { netns, device: 'lo', kind: 'tcx/ingress' };
		case 'host end':
			return {
				netns: null,
				device: spec.name,
				kind: pairKind(spec.device)?.hook === 'netkit' ? 'netkit/peer' : 'tcx/ingress',
			};
		case null: {
			const path = cgroupOf(spec);
			return { path, id: cgroupId(path) ?? 0n };
		}
	}
}

/** The same in words. */
export function whereIs(spec: ContainerSpec, program: TlsProgram): string {
	if (isOfProxy(program)) return "its proxy's cgroup";
	const device = deviceOf(program);
	if (device === null) return cgroupOf(spec);
	return device === 'host end' ? spec.name : `${device} in its netns`;
}

function deviceOf(program: TlsProgram): (typeof ON_DEVICE)[keyof typeof ON_DEVICE] | null {
	return program in ON_DEVICE ? ON_DEVICE[program as keyof typeof ON_DEVICE] : null;
}
