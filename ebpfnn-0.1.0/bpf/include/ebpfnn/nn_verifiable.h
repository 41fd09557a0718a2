/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What lets the kernel's verifier follow a network: loops whose end it knows, and arithmetic in the place of branches on data.
 */
#ifndef EBPFNN_NN_VERIFIABLE_H
#define EBPFNN_NN_VERIFIABLE_H

#ifndef __always_inline
#define __always_inline inline __attribute__((always_inline))
#endif
#ifndef __noinline
#define __noinline __attribute__((noinline))
#endif

/* Hides from the compiler how x was made, lest it see a comparison in a sign bit and turn it into a branch. */
#define nn_opaque(x) asm volatile("" : "+r"(x))

#ifdef __clang__
#define NN_UNROLL _Pragma("clang loop unroll(full)")
#else
#define NN_UNROLL
#endif

/*
 * Takes a step for each i + k below count, eight a turn: loop control is most of a short loop's work, and of the verifier's. The
 * compiler must not know how i moves, lest it count up from -count: Linux 6.1's verifier loses track of what is negated.
 * Wide, because 5.10's loses track of what is spilled in four bytes. With k apart from i, (array + i)[k] is one load.
 */
#define NN_FOR_EACH(i, k, count, step)                           \
	do {                                                     \
		__u64 i = 0, nn_end = (count);                   \
		for (; i + 8 <= nn_end; i += 8) {                \
			nn_opaque(i);                            \
			NN_UNROLL                                \
			for (int k = 0; k < 8; k++) {            \
				step;                            \
			}                                        \
		}                                                \
		for (; i < nn_end; i++) {                        \
			const int k = 0;                         \
			nn_opaque(i);                            \
			step;                                    \
		}                                                \
	} while (0)

/* 1 where x is negative, else 0. What is multiplied by it needs no branch. */
static __always_inline __s64 nn_is_negative(__s64 x)
{
	__u64 sign;

	nn_opaque(x);
	sign = (__u64)x >> 63;
	nn_opaque(sign);
	return sign;
}

static __always_inline __s32 nn_larger(__s64 one, __s64 other)
{
	return one + (other - one) * nn_is_negative(one - other);
}

#endif
