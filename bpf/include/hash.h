#ifndef PATHPROOF_HASH_H
#define PATHPROOF_HASH_H

#include <linux/types.h>

static __always_inline __u32 mix(__u32 value)
{
	/* the finalizer of MurmurHash3 */
	value ^= value >> 16;
	value *= 0x85ebca6b;
	value ^= value >> 13;
	value *= 0xc2b2ae35;
	return value ^ value >> 16;
}

#endif
