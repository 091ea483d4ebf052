/* Test code: the vectors on the host, with mbedTLS; Ed25519, which it has not, by what the vectors know. */
#include <stdio.h>
#include <string.h>

#include "../../c/ports/mbedtls.h"
#include "../../c/vectors/run.h"
#include "sha256.h"

static struct ks_crypto table;

static bool verify(void *context, enum ks_algorithm algorithm, struct ks_bytes spki, const struct ks_bytes *parts,
                   size_t count, struct ks_bytes signature) {
  if (algorithm == KS_ED25519) {
    return table.verify(table.context, algorithm, spki, parts, count, signature);
  }
  return ks_mbedtls.verify(context, algorithm, spki, parts, count, signature);
}

static bool check_key(void *context, struct ks_bytes spki) {
  return ks_mbedtls.check_key(context, spki) || table.check_key(table.context, spki);
}

static void report(const char *kind, const char *name, const char *expected, const char *seen) {
  printf("%s: %s: expected %s, saw %s\n", kind, name, expected, seen);
}

/* ---- cryptography that fails at each so-manieth call ---- */

static unsigned period;
static unsigned calls;
static size_t let_through;

static bool fails(void) {
  calls += 1u;
  return (calls % period) == 0u;
}

static bool failing_sha256(void *context, const struct ks_bytes *parts, size_t count, uint8_t digest[KS_SHA256_BYTES]) {
  return !fails() && ks_test_hashes.sha256(context, parts, count, digest);
}

static bool failing_hmac(void *context, struct ks_bytes key, const struct ks_bytes *parts, size_t count,
                         uint8_t mac[KS_SHA256_BYTES]) {
  return !fails() && ks_test_hashes.hmac_sha256(context, key, parts, count, mac);
}

static void note_let_through(const char *kind, const char *name, const char *expected, const char *seen) {
  if (strcmp(seen, "ok") == 0) {
    let_through += 1u;
    report(kind, name, expected, seen);
  }
}

static int run_with_faults(void) {
  static const unsigned periods[] = {1, 2, 3, 4, 5, 7, 11, 13, 29};
  const struct ks_crypto hashes = {NULL, failing_sha256, failing_hmac, NULL, NULL, NULL};
  const struct ks_crypto crypto = ks_vector_crypto(&hashes);
  size_t failed = 0;
  for (size_t index = 0; index < sizeof(periods) / sizeof(periods[0]); index += 1) {
    size_t ran = 0;
    period = periods[index];
    failed = ks_vectors_run(&crypto, note_let_through, &ran);
    if (failed == 0) {
      printf("no fault was seen at each call %u\n", period);
      return 1;
    }
  }
  printf("9 runs with faults, %s\n", (let_through == 0) ? "nothing let through" : "something let through");
  return (let_through == 0) ? 0 : 1;
}

int main(int argc, char **argv) {
  struct ks_crypto crypto = ks_mbedtls;
  size_t ran = 0;
  if ((argc == 2) && (strcmp(argv[1], "faults") == 0)) {
    return run_with_faults();
  }
  table = ks_vector_crypto(&ks_mbedtls);
  crypto.verify = verify;
  crypto.check_key = check_key;
  const size_t failed = ks_vectors_run(&crypto, report, &ran);
  printf("%zu vectors, %zu failed\n", ran, failed);
  return (failed == 0) ? 0 : 1;
}
