/*
 * The test vectors of Keystead, run on any machine: what the TypeScript implementation says of bundles, filters, pins,
 * peers and session keys, and whether this library says the same. `npm run vectors -- DIRECTORY` writes vectors.h, which
 * run.c includes.
 */
#ifndef KEYSTEAD_RUN_VECTORS_H
#define KEYSTEAD_RUN_VECTORS_H

#include "../keystead.h"

/*
 * Cryptography for a device that has only hashes yet: signatures, keys and certificates are those that the vectors know,
 * by their hashes. Of `hashes`, sha256 and hmac_sha256 are used. `hashes` must stay where it is.
 */
struct ks_crypto ks_vector_crypto(const struct ks_crypto *hashes);

/* Says what was expected and what was seen, for each vector that fails. */
typedef void ks_vector_report(const char *kind, const char *name, const char *expected, const char *seen);

/* How many vectors fail; `ran` is how many there were. */
size_t ks_vectors_run(const struct ks_crypto *crypto, ks_vector_report *report, size_t *ran);

#endif
