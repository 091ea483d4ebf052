#include "run.h"

#include <string.h>

struct known_certificate {
  uint8_t sha256[KS_SHA256_BYTES];
  struct ks_ca ca;
};

struct answer {
  struct ks_bytes issuer;
  struct ks_bytes serial;
  enum ks_status says;
};

struct bundle_vector {
  const char *name;
  const struct ks_bytes *files;
  size_t count;
  const struct ks_trust_state *known;
  int64_t now;
  const char *expected;
  uint32_t version; /* this and the next two where it is taken */
  const uint8_t *sha256;
  bool repeated;
  size_t rows[4]; /* anchors, pinned names, signers, products */
};

struct pin_vector {
  const char *name;
  struct ks_bytes file;
  struct ks_bytes role;
  const uint8_t *key;
  int64_t now;
  const char *expected;
};

struct filter_vector {
  const char *name;
  const struct ks_bytes *files;
  size_t count;
  const uint8_t *named;
  const char *expected;
  const struct answer *answers;
  size_t answer_count;
};

struct peer_vector {
  const char *name;
  const struct filter_vector *filter;
  const struct ks_certificate *path;
  size_t count;
  int64_t now;
  int64_t tolerate;
  bool cover_path;
  const char *expected;
  size_t depth;
};

struct session_vector {
  const char *name;
  struct ks_bytes exported;
  struct ks_bytes device_id;
  const uint8_t *device_salt;
  const uint8_t *service_salt;
  const char *expected;
  const uint8_t *client_write;
  const uint8_t *server_write;
};

#include "vectors.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* ---- cryptography by what the vectors know ---- */

static const struct ks_crypto *hashes_of(void *context) {
  return (const struct ks_crypto *)context;
}

static bool table_sha256(void *context, const struct ks_bytes *parts, size_t count, uint8_t digest[KS_SHA256_BYTES]) {
  return hashes_of(context)->sha256(hashes_of(context)->context, parts, count, digest);
}

static bool table_hmac(void *context, struct ks_bytes key, const struct ks_bytes *parts, size_t count,
                       uint8_t mac[KS_SHA256_BYTES]) {
  return hashes_of(context)->hmac_sha256(hashes_of(context)->context, key, parts, count, mac);
}

static bool is_in(const uint8_t (*table)[KS_SHA256_BYTES], size_t count, const uint8_t hash[KS_SHA256_BYTES]) {
  for (size_t index = 0; index < count; index += 1) {
    if (memcmp(table[index], hash, KS_SHA256_BYTES) == 0) {
      return true;
    }
  }
  return false;
}

/* A good signature is known by the hash of algorithm, key, what is signed, and the signature. */
static bool table_verify(void *context, enum ks_algorithm algorithm, struct ks_bytes spki, const struct ks_bytes *parts,
                         size_t count, struct ks_bytes signature) {
  const uint8_t number = (uint8_t)algorithm;
  struct ks_bytes all[8] = {{&number, 1}, spki};
  uint8_t hash[KS_SHA256_BYTES];
  if (count > 5) {
    return false;
  }
  for (size_t index = 0; index < count; index += 1) {
    all[2 + index] = parts[index];
  }
  all[2 + count] = signature;
  return table_sha256(context, all, count + 3, hash) && is_in(known_signatures, COUNT(known_signatures), hash);
}

static bool table_key(void *context, struct ks_bytes spki) {
  uint8_t hash[KS_SHA256_BYTES];
  return table_sha256(context, &spki, 1, hash) && is_in(known_keys, COUNT(known_keys), hash);
}

static bool table_certificate(void *context, struct ks_bytes certificate, struct ks_ca *ca) {
  uint8_t hash[KS_SHA256_BYTES];
  if (!table_sha256(context, &certificate, 1, hash)) {
    return false;
  }
  for (size_t index = 0; index < COUNT(known_certificates); index += 1) {
    if (memcmp(known_certificates[index].sha256, hash, KS_SHA256_BYTES) == 0) {
      *ca = known_certificates[index].ca;
      return true;
    }
  }
  return false;
}

struct ks_crypto ks_vector_crypto(const struct ks_crypto *hashes) {
  const struct ks_crypto crypto = {(void *)(uintptr_t)hashes, table_sha256,     table_hmac, table_verify, table_key,
                                   table_certificate};
  return crypto;
}

/* ---- the vectors ---- */

struct tally {
  ks_vector_report *report;
  size_t ran;
  size_t failed;
};

static void expect(struct tally *tally, const char *kind, const char *name, const char *expected, const char *seen) {
  tally->ran += 1;
  if (strcmp(expected, seen) != 0) {
    tally->failed += 1;
    tally->report(kind, name, expected, seen);
  }
}

static void require(struct tally *tally, const char *kind, const char *name, bool holds, const char *what) {
  if (!holds) {
    tally->failed += 1;
    tally->report(kind, name, what, "something else");
  }
}

/* Cut short at every byte, it is refused, and nothing of it is left. */
static void cut_bundle(struct tally *tally, const struct bundle_vector *vector) {
  struct ks_bundle bundle;
  bool refused = true;
  for (size_t length = 0; length < vector->files[0].length; length += 1) {
    const struct ks_bytes part = {vector->files[0].at, length};
    refused = refused && (ks_bundle_parse(part, &bundle) == KS_MALFORMED) && (bundle.version == 0u);
  }
  require(tally, "bundle", vector->name, refused, "a refusal when it is cut short at any byte");
}

static void run_bundles(const struct ks_crypto *crypto, struct tally *tally) {
  static struct ks_taken taken;
  static struct ks_taken restored;
  for (size_t index = 0; index < COUNT(bundle_vectors); index += 1) {
    const struct bundle_vector *const vector = &bundle_vectors[index];
    const enum ks_result result =
        ks_trust_take(crypto, vector->files, vector->count, vector->known, vector->now, &taken);
    expect(tally, "bundle", vector->name, vector->expected, ks_code(result));
    if (result != KS_OK) {
      require(tally, "bundle", vector->name, (taken.state.version == 0u) && (taken.bundle.expires == 0),
              "nothing of it left");
      continue;
    }
    const struct ks_bundle *const bundle = &taken.bundle;
    const bool same = (taken.state.version == vector->version) && (taken.repeated == vector->repeated) &&
                      (memcmp(taken.state.sha256, vector->sha256, KS_SHA256_BYTES) == 0) &&
                      (bundle->anchors.left == vector->rows[0]) && (bundle->pins.left == vector->rows[1]) &&
                      (taken.state.signer_count == vector->rows[2]) && (taken.state.firmware_count == vector->rows[3]);
    require(tally, "bundle", vector->name, same, "the content that it has");
    const bool again = (ks_trust_restore(crypto, vector->files[vector->count - 1u], &restored) == KS_OK) &&
                       (memcmp(restored.state.sha256, taken.state.sha256, KS_SHA256_BYTES) == 0) &&
                       (restored.state.signer_count == taken.state.signer_count);
    require(tally, "bundle", vector->name, again, "the same state when it is restored");
    cut_bundle(tally, vector);
  }
}

static void run_pins(struct tally *tally) {
  for (size_t index = 0; index < COUNT(pin_vectors); index += 1) {
    const struct pin_vector *const vector = &pin_vectors[index];
    struct ks_bundle bundle;
    if (ks_bundle_parse(vector->file, &bundle) == KS_OK) {
      expect(tally, "pin", vector->name, vector->expected,
             ks_code(ks_pin_check(&bundle, vector->role, vector->key, vector->now)));
    } else {
      require(tally, "pin", vector->name, false, "a bundle");
    }
  }
}

static void cut_filter(const struct ks_crypto *crypto, struct tally *tally, const struct filter_vector *vector) {
  struct ks_bytes files[8];
  struct ks_filter filter;
  bool refused = vector->count <= COUNT(files);
  for (size_t index = 0; refused && (index < vector->count); index += 1) {
    files[index] = vector->files[index];
  }
  for (size_t length = 0; refused && (length < vector->files[vector->count - 1u].length); length += 1) {
    files[vector->count - 1u].length = length;
    refused = ks_filter_open(crypto, files, vector->count, vector->named, &filter) == KS_FILTER_MALFORMED;
  }
  require(tally, "filter", vector->name, refused, "a refusal when it is cut short at any byte");
}

static void run_filters(const struct ks_crypto *crypto, struct tally *tally) {
  for (size_t index = 0; index < COUNT(filter_vectors); index += 1) {
    const struct filter_vector *const vector = &filter_vectors[index];
    struct ks_filter filter;
    const enum ks_result result = ks_filter_open(crypto, vector->files, vector->count, vector->named, &filter);
    expect(tally, "filter", vector->name, vector->expected, ks_code(result));
    if (result != KS_OK) {
      continue;
    }
    for (size_t at = 0; at < vector->answer_count; at += 1) {
      const struct answer *const answer = &vector->answers[at];
      tally->ran += 1;
      require(tally, "filter", vector->name,
              ks_filter_says(crypto, &filter, answer->issuer.at, answer->serial) == answer->says, "the right answer");
    }
    cut_filter(crypto, tally, vector);
  }
}

static void run_peers(const struct ks_crypto *crypto, struct tally *tally) {
  for (size_t index = 0; index < COUNT(peer_vectors); index += 1) {
    const struct peer_vector *const vector = &peer_vectors[index];
    struct ks_filter filter;
    struct ks_peer_rules rules = {vector->now, NULL, vector->tolerate, vector->cover_path};
    size_t depth = 0;
    if (vector->filter != NULL) {
      const struct filter_vector *const from = vector->filter;
      if (ks_filter_open(crypto, from->files, from->count, from->named, &filter) == KS_OK) {
        rules.filter = &filter;
      } else {
        require(tally, "peer", vector->name, false, "its filter");
      }
    }
    const enum ks_result result = ks_peer_check(crypto, vector->path, vector->count, &rules, &depth);
    expect(tally, "peer", vector->name, vector->expected, ks_code(result));
    require(tally, "peer", vector->name, (result == KS_OK) || (depth == vector->depth), "the certificate at fault");
  }
}

static void run_sessions(const struct ks_crypto *crypto, struct tally *tally) {
  for (size_t index = 0; index < COUNT(session_vectors); index += 1) {
    const struct session_vector *const vector = &session_vectors[index];
    struct ks_session_keys keys;
    (void)memset(&keys, 0xa5, sizeof(keys));
    const enum ks_result result = ks_session_keys(crypto, vector->exported, vector->device_id, vector->device_salt,
                                                  vector->service_salt, &keys);
    expect(tally, "session", vector->name, vector->expected, ks_code(result));
    require(tally, "session", vector->name,
            (memcmp(keys.client_write, vector->client_write, KS_SESSION_KEY_BYTES) == 0) &&
                (memcmp(keys.server_write, vector->server_write, KS_SESSION_KEY_BYTES) == 0),
            "the keys that TypeScript has");
  }
}

/* What no other implementation can be asked: a clock that is not set. */
static void run_clocks(const struct ks_crypto *crypto, struct tally *tally) {
  static const int64_t unset[] = {-1, INT64_MIN, KS_LATEST_TIME + 1, INT64_MAX};
  static struct ks_taken taken;
  const struct bundle_vector *const vector = &bundle_vectors[0];
  struct ks_bundle bundle;
  const bool parsed = ks_bundle_parse(vector->files[0], &bundle) == KS_OK;
  require(tally, "clock", vector->name, parsed, "a bundle");
  for (size_t index = 0; index < COUNT(unset); index += 1) {
    const int64_t now = unset[index];
    const struct ks_peer_rules rules = {now, NULL, INT64_MAX, false};
    const struct ks_certificate certificate = {vector->sha256, {vector->sha256, 1}, INT64_MIN, INT64_MAX};
    expect(tally, "clock", "a bundle", "clock.invalid",
           ks_code(ks_trust_take(crypto, vector->files, vector->count, vector->known, now, &taken)));
    expect(tally, "clock", "a pin", "clock.invalid",
           ks_code(ks_pin_check(&bundle, vector->known->fleet, vector->sha256, now)));
    expect(tally, "clock", "a peer", "clock.invalid", ks_code(ks_peer_check(crypto, &certificate, 1, &rules, NULL)));
  }
}

size_t ks_vectors_run(const struct ks_crypto *crypto, ks_vector_report *report, size_t *ran) {
  struct tally tally = {report, 0, 0};
  run_bundles(crypto, &tally);
  run_pins(&tally);
  run_filters(crypto, &tally);
  run_peers(crypto, &tally);
  run_sessions(crypto, &tally);
  run_clocks(crypto, &tally);
  *ran = tally.ran;
  return tally.failed;
}
