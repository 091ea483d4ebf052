/*
 * TEST CODE: hashes for machines that have none, so that the vectors run in an emulator. Never ship it: a device has
 * SHA-256 in its library or in hardware, tested and maintained by somebody.
 */
#ifndef KEYSTEAD_TEST_SHA256_H
#define KEYSTEAD_TEST_SHA256_H

#include "../../c/keystead.h"

/* sha256 and hmac_sha256 alone. */
extern const struct ks_crypto ks_test_hashes;

#endif
