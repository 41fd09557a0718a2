/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Helps the kernel's verifier: loops with an end that it knows, and arithmetic instead of branches on data.
 */
#ifndef EBPFNN_NN_VERIFIABLE_H
#define EBPFNN_NN_VERIFIABLE_H

#ifndef __always_inline
#define __always_inline inline __attribute__((always_inline))
#endif
#ifndef __noinline
#define __noinline __attribute__((noinline))
#endif

/* Hides the origin of x from the compiler, so that it does not turn a sign bit into a comparison and a branch. */
#define nn_opaque(x) asm volatile("" : "+r"(x))

/* For what naive.bpf.c has another form of. */
#define nn_maybe_unused __attribute__((unused))

#ifdef __clang__
#define NN_UNROLL _Pragma("clang loop unroll(full)")
#else
#define NN_UNROLL
#endif

/*
 * Runs the step for each i + k below count, eight per iteration, because loop control is most of the work of a short loop, also
 * for the verifier. The compiler must not know how i changes, or it counts up from -count, and Linux 6.1's verifier loses track
 * of negated values. i has 64 bits, because 5.10's verifier loses track of 4-byte spills. (array + i)[k] is one load.
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

/* 1 if x is negative, else 0. Multiply by it instead of branching. */
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
