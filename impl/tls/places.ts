/** Where the programs are attached that turn a container's flows. */
import { type ContainerSpec, netnsOf } from '../container.ts';
import { pairKind } from '../devices/device.ts';
import { cgroupId, cgroupOf } from '../identity/cgroup.ts';
import type { TlsPlace } from './links.ts';
import type { ProxyCgroup } from './netns.ts';
import { isOfProxy, isOnDevice, ON_DEVICE, type TlsProgram } from './programs.ts';

/** A cgroup that is not there has the id 0. */
export function placeOf(spec: ContainerSpec, program: TlsProgram, proxy: ProxyCgroup): TlsPlace {
	if (isOfProxy(program)) return proxy;
	if (isOnDevice(program)) {
		const { device, kind } = ON_DEVICE[program];
		if (device !== 'host end') return { netns: netnsOf(spec), device, kind };
		return { netns: null, device: spec.name, kind: pairKind(spec.device)?.hook === 'netkit' ? 'netkit/peer' : kind };
	}
	const path = cgroupOf(spec);
	return { path, id: cgroupId(path) ?? 0n };
}

/** The same in words. */
export function whereIs(spec: ContainerSpec, program: TlsProgram): string {
	if (isOfProxy(program)) return "its proxy's cgroup";
	if (!isOnDevice(program)) return cgroupOf(spec);
	const { device } = ON_DEVICE[program];
	return device === 'host end' ? spec.name : `${device} in its netns`;
}
