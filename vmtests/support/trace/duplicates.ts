/** Bytes that TCP had already: a slow machine, or a lossy wire, has some sent twice. */

/** The drops, behind their delivery, of what the receiving socket had already. For `ignoring`, where a test is not about them. */
export const DUPLICATES: readonly string[] = [
	'drop TCP_OLD_DATA',
	'drop TCP_OLD_SEQUENCE',
	'drop TCP_INVALID_SEQUENCE',
	'drop TCP_RFC7323_PAWS',
];
