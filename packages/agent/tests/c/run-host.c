/* Test code: the vectors on the host, with mbedTLS; Ed25519, which it has not, by what the vectors know. */
#include <stdio.h>

#include "../../c/ports/mbedtls.h"
#include "../../c/vectors/run.h"

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

int main(void) {
  struct ks_crypto crypto = ks_mbedtls;
  size_t ran = 0;
  table = ks_vector_crypto(&ks_mbedtls);
  crypto.verify = verify;
  crypto.check_key = check_key;
  const size_t failed = ks_vectors_run(&crypto, report, &ran);
  printf("%zu vectors, %zu failed\n", ran, failed);
  return (failed == 0) ? 0 : 1;
}
