/*
 * Keystead for firmware: what a device must do with a trust bundle (docs/trust-bundle.md), a revocation filter
 * (docs/filter.md), a peer's certificates and the keys of a session, in C99.
 *
 * Nothing is allocated, nothing is copied that need not be, nothing recurses; every loop is bounded by the length of its
 * input. No primitive is in here: hashes, signatures and certificates are read by the device's own library through
 * struct ks_crypto. docs/device-c.md tells how it is used, docs/decisions/0050 why it is so.
 *
 * All times are whole seconds since 1970, all numbers in files big-endian. A pointer that a function hands out leads into
 * the bytes that it was given: these must stay where they are, unchanged, for as long as it is used.
 *
 * REQ-KEY-REV-03, REQ-KEY-REV-04, REQ-KEY-ROT-03, REQ-KEY-KDF-01
 */
#ifndef KEYSTEAD_H
#define KEYSTEAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define KS_SHA256_BYTES 32u
#define KS_SESSION_KEY_BYTES 32u
#define KS_SALT_BYTES 32u
/* How many a bundle may have: docs/trust-bundle.md. */
#define KS_MOST_ANCHORS 16u
#define KS_MOST_PINNED_NAMES 16u
#define KS_MOST_PINS 8u
#define KS_MOST_SIGNERS 8u
#define KS_MOST_PRODUCTS 32u
/* The last second of 9999. */
#define KS_LATEST_TIME INT64_C(253402300799)
/* By how much a bundle may seem to be of the future: a device's clock may be behind. */
#define KS_CLOCK_SKEW_SECONDS INT64_C(300)

/* Bytes that belong to somebody else. */
struct ks_bytes {
  const uint8_t *at;
  size_t length;
};

/*
 * What came of it. X(name, code, sentence): the codes are those that the other implementations of Keystead give, and are
 * stable. Whatever is not KS_OK is a refusal.
 */
#define KS_RESULTS(X)                                                                                                  \
  X(KS_OK, "ok", "nothing is against it")                                                                              \
  X(KS_MALFORMED, "trust-bundle.malformed", "the bundle is not in the one form that is signed")                        \
  X(KS_SIGNER_UNKNOWN, "trust-bundle.signer-unknown", "no bundle before it named the key that signed it")              \
  X(KS_SIGNATURE_INVALID, "trust-bundle.signature-invalid", "its signature does not verify")                           \
  X(KS_SIGNER_RETIRED, "trust-bundle.signer-retired", "the time of the key that signed it is over or has not come")    \
  X(KS_FLEET_DIFFERS, "trust-bundle.fleet-differs", "it is for the devices of another fleet")                          \
  X(KS_ROLLED_BACK, "trust-bundle.rolled-back", "the device goes by a newer one")                                      \
  X(KS_FORKED, "trust-bundle.forked", "the device goes by another bundle of this version")                             \
  X(KS_BUNDLE_NOT_YET_VALID, "trust-bundle.not-yet-valid", "it is of the future")                                      \
  X(KS_BUNDLE_EXPIRED, "trust-bundle.expired", "its time is over, or there is none")                                   \
  X(KS_FIRMWARE_ROLLED_BACK, "trust-bundle.firmware-rolled-back", "a product's least firmware is lower, or missing")   \
  X(KS_RULE_EXPIRES, "trust-bundle.rule", "it expires before it is issued")                                            \
  X(KS_RULE_WINDOW, "trust-bundle.rule", "the window of an anchor, pin or signer ends before it begins")               \
  X(KS_RULE_TWICE, "trust-bundle.rule", "an anchor, pin, signer or product stands in it twice")                        \
  X(KS_RULE_ANCHOR_NO_CA, "trust-bundle.rule", "an anchor is the certificate of no CA")                                \
  X(KS_RULE_ANCHOR_OUTLIVES, "trust-bundle.rule", "an anchor is to hold for longer than its certificate")              \
  X(KS_RULE_NO_CURRENT_PIN, "trust-bundle.rule", "a pinned name has no current key")                                   \
  X(KS_RULE_NO_BACKUP_PIN, "trust-bundle.rule", "a pinned name has no backup that is good as long as the others")      \
  X(KS_RULE_NO_NEXT_SIGNER, "trust-bundle.rule", "nobody could sign the bundle after it")                              \
  X(KS_CERTIFICATE_REFUSED, "cert.malformed", "the certificate of an anchor cannot be read")                           \
  X(KS_KEY_REFUSED, "key.refused", "a signer's key is no good key of P-256, P-384 or Ed25519")                         \
  X(KS_FILTER_MALFORMED, "filter.malformed", "the filter is not in the form of docs/filter.md")                        \
  X(KS_FILTER_BASE_DIFFERS, "filter.base-differs", "a delta is for another filter, or stands alone")                   \
  X(KS_FILTER_NOT_NAMED, "filter.not-named", "it is not the filter that the trust bundle names")                       \
  X(KS_NAME_NOT_PINNED, "pin.name-unknown", "the bundle has no pins for that name")                                    \
  X(KS_PIN_DIFFERS, "pin.differs", "the key is none of those that are pinned for the name now")                        \
  X(KS_PEER_NO_CERTIFICATE, "no-certificate", "the peer showed no certificate")                                        \
  X(KS_PEER_NOT_YET_VALID, "not-yet-valid", "now lies before notBefore")                                               \
  X(KS_PEER_EXPIRED, "expired", "now lies after notAfter")                                                             \
  X(KS_PEER_REVOKED, "revoked", "the filter has the certificate as revoked")                                           \
  X(KS_PEER_UNKNOWN, "status-unavailable", "whether it is revoked has been unknown for longer than is tolerated")      \
  X(KS_KDF_INPUT, "kdf.input", "a secret, salt, context, purpose or length is outside its bounds")                     \
  X(KS_CLOCK_INVALID, "clock.invalid", "the time is before 1970 or after 9999: the clock is not set")                  \
  X(KS_CRYPTO_FAILED, "crypto.failed", "the device's cryptography could not do what it was asked")

#define KS_RESULT_NAME(name, code, sentence) name,
enum ks_result { KS_RESULTS(KS_RESULT_NAME) KS_RESULT_COUNT };
#undef KS_RESULT_NAME

/* The stable code, and a sentence for people. Never NULL. */
const char *ks_code(enum ks_result result);
const char *ks_text(enum ks_result result);

/* ---- what the device supplies ---- */

enum ks_algorithm { KS_ES256, KS_ES384, KS_ED25519 };

/* What is asked of the certificate of an anchor. */
struct ks_ca {
  bool is_ca; /* basicConstraints: cA */
  int64_t not_after;
  uint8_t spki_sha256[KS_SHA256_BYTES]; /* of its SubjectPublicKeyInfo, DER */
};

/*
 * The device's cryptography: PSA, mbedTLS (ports/mbedtls.c), hardware. `parts` are to be read one after the other, as if
 * they were one. Each returns false when it could not do it, and the call that asked refuses.
 */
struct ks_crypto {
  void *context; /* given back with each call */
  bool (*sha256)(void *context, const struct ks_bytes *parts, size_t count, uint8_t digest[KS_SHA256_BYTES]);
  /* RFC 2104; the key may be of any length, also longer than a block. */
  bool (*hmac_sha256)(void *context, struct ks_bytes key, const struct ks_bytes *parts, size_t count,
                      uint8_t mac[KS_SHA256_BYTES]);
  /*
   * Whether `signature` is one of `spki` (SubjectPublicKeyInfo, DER) over the parts. It must be false for a key that is
   * not of the algorithm: P-256 with KS_ES256, P-384 with KS_ES384. ECDSA: r then s, 32 or 48 octets each (RFC 9053
   * section 2.1); the length was looked at. Ed25519: RFC 8032 section 5.1.7.
   */
  bool (*verify)(void *context, enum ks_algorithm algorithm, struct ks_bytes spki, const struct ks_bytes *parts,
                 size_t count, struct ks_bytes signature);
  /* Whether it is the SubjectPublicKeyInfo, DER, of a valid key of P-256, P-384 or Ed25519 (SP 800-56A 5.6.2.3.3). */
  bool (*check_key)(void *context, struct ks_bytes spki);
  /* Reads a certificate, DER, with nothing behind it. */
  bool (*read_ca)(void *context, struct ks_bytes certificate, struct ks_ca *ca);
};

/* ---- the trust bundle ---- */

enum ks_anchor_role { KS_ANCHOR_SERVER, KS_ANCHOR_DEVICE, KS_ANCHOR_FIRMWARE };
enum ks_pin_use { KS_PIN_CURRENT, KS_PIN_NEXT, KS_PIN_BACKUP };

/* Rows of a bundle that are still to be read: a copy of it begins again where it stands. */
struct ks_rows {
  const uint8_t *at;
  size_t length;
  size_t left;
};

struct ks_anchor {
  enum ks_anchor_role role;
  struct ks_bytes certificate; /* DER */
  int64_t from;
  int64_t until;
};

struct ks_pinned_name {
  struct ks_bytes name;
  struct ks_rows keys;
};

struct ks_pin {
  const uint8_t *spki_sha256;
  enum ks_pin_use use;
  int64_t from;
  int64_t until;
};

struct ks_signer {
  struct ks_bytes spki; /* SubjectPublicKeyInfo, DER */
  int64_t from;
  int64_t until;
};

struct ks_firmware {
  struct ks_bytes product;
  struct ks_rows signers; /* ks_hash_next */
  uint32_t least_counter;
};

/* A bundle as it was read. Whether it may be gone by is for ks_trust_take to say. */
struct ks_bundle {
  struct ks_bytes fleet;
  uint32_t version;
  int64_t issued_at;
  int64_t expires;
  struct ks_rows anchors;
  struct ks_rows pins;
  struct ks_rows signers;
  struct ks_rows firmware;
  const uint8_t *filter_sha256; /* of the filter's newest file; NULL: there is none */

  enum ks_algorithm algorithm;
  const uint8_t *signer_sha256;
  struct ks_bytes header;  /* as they stand in the file, with the heads that CBOR gives them */
  struct ks_bytes payload;
  struct ks_bytes signature;
};

/* What stands in a row, one after the other; false when there is no more. */
bool ks_anchor_next(struct ks_rows *rows, struct ks_anchor *anchor);
bool ks_pinned_name_next(struct ks_rows *rows, struct ks_pinned_name *name);
bool ks_pin_next(struct ks_rows *rows, struct ks_pin *pin);
bool ks_signer_next(struct ks_rows *rows, struct ks_signer *signer);
bool ks_firmware_next(struct ks_rows *rows, struct ks_firmware *firmware);
bool ks_hash_next(struct ks_rows *rows, const uint8_t **sha256);

/* Whether a time is in a window: from `from` on and before `until`. */
bool ks_in_window(int64_t from, int64_t until, int64_t now);

/* Reads a bundle; verifies nothing. KS_OK or KS_MALFORMED. */
enum ks_result ks_bundle_parse(struct ks_bytes file, struct ks_bundle *bundle);

/*
 * The rules that hold inside one bundle, whoever signed it.
 * KS_OK, KS_RULE_*, KS_CERTIFICATE_REFUSED, KS_KEY_REFUSED.
 */
enum ks_result ks_bundle_check(const struct ks_crypto *crypto, const struct ks_bundle *bundle);

struct ks_least_firmware {
  struct ks_bytes product;
  uint32_t least_counter;
};

/*
 * What the device goes by, or was made with at the factory (version 0). It leads into the bundle that it was taken
 * from. What must be durable is that bundle: ks_trust_restore makes the state of it again.
 */
struct ks_trust_state {
  struct ks_bytes fleet;
  uint32_t version;
  uint8_t sha256[KS_SHA256_BYTES]; /* of what is signed; nothing is asked of it at version 0 */
  struct ks_signer signers[KS_MOST_SIGNERS];
  size_t signer_count;
  struct ks_least_firmware firmware[KS_MOST_PRODUCTS];
  size_t firmware_count;
};

struct ks_taken {
  struct ks_bundle bundle;
  struct ks_trust_state state; /* its bundle must be durable before it is gone by */
  bool repeated;               /* it is the one that the device goes by already */
};

/*
 * Judges bundles, the oldest first, each by the one before it; one is the usual, and whoever was away while the signers
 * changed needs those in which they did. The last must be in its own time. Unless it returns KS_OK the device goes on by
 * what it has, and `taken` is all zeros.
 * @param known what the device goes by; it must not lie in `taken`.
 */
enum ks_result ks_trust_take(const struct ks_crypto *crypto, const struct ks_bytes *files, size_t count,
                             const struct ks_trust_state *known, int64_t now, struct ks_taken *taken);

/*
 * Makes the state again of the bundle that ks_trust_take took and the device stored: at a start. It verifies no
 * signature and looks at no clock: never of bytes that come from outside, and ks_trust_current before it is gone by.
 */
enum ks_result ks_trust_restore(const struct ks_crypto *crypto, struct ks_bytes file, struct ks_taken *taken);

/* Whether a device may go by its bundle still: KS_OK, KS_BUNDLE_EXPIRED, KS_CLOCK_INVALID. */
enum ks_result ks_trust_current(const struct ks_bundle *bundle, int64_t now);

/*
 * Whether a device may talk to a key under a name. KS_OK, KS_PIN_DIFFERS; KS_NAME_NOT_PINNED for a name without pins;
 * what ks_trust_current says of a bundle that is not gone by any more.
 */
enum ks_result ks_pin_check(const struct ks_bundle *bundle, struct ks_bytes name,
                            const uint8_t spki_sha256[KS_SHA256_BYTES], int64_t now);

/* ---- the revocation filter ---- */

/* A filter and its deltas, where they lie: memory-mapped flash will do. */
struct ks_filter {
  const struct ks_bytes *files;
  size_t count;
  int64_t date; /* of the newest file, as the two after it */
  int64_t through;
  int64_t expires;
};

enum ks_status { KS_STATUS_NOT_COVERED, KS_STATUS_GOOD, KS_STATUS_REVOKED, KS_STATUS_FAILED };

/*
 * @param files one that stands alone, then the deltas, each for the file before it; the array stays the caller's and must
 *   stay where it is.
 * @param named the hash of the newest file, as the bundle names it (filter_sha256; where that is NULL, none is taken): a
 *   filter has no signature of its own.
 * KS_OK, KS_FILTER_MALFORMED, KS_FILTER_BASE_DIFFERS, KS_FILTER_NOT_NAMED, KS_CRYPTO_FAILED.
 */
enum ks_result ks_filter_open(const struct ks_crypto *crypto, const struct ks_bytes *files, size_t count,
                              const uint8_t named[KS_SHA256_BYTES], struct ks_filter *filter);

/*
 * Until when the certificates of an issuer are covered: those whose notBefore is not later. For most issuers it is the
 * `through` of the filter; for the CA of a factory that is offline it is earlier, since nobody knows what it has made.
 */
int64_t ks_filter_through(const struct ks_filter *filter, const uint8_t issuer_spki_sha256[KS_SHA256_BYTES]);

/*
 * What the files say of a certificate, whatever the time: revoked or good; not covered for an issuer that none of them
 * knows. Ask ks_filter_through first, and of no certificate that had ended by the date of the filter: that is not in it.
 * @param serial the content octets of the INTEGER, as they stand in the certificate.
 */
enum ks_status ks_filter_says(const struct ks_crypto *crypto, const struct ks_filter *filter,
                              const uint8_t issuer_spki_sha256[KS_SHA256_BYTES], struct ks_bytes serial);

/* ---- peers ---- */

/* What the device's TLS library read of one certificate of a path that it has verified. */
struct ks_certificate {
  const uint8_t *issuer_spki_sha256; /* of the SubjectPublicKeyInfo of the certificate above it */
  struct ks_bytes serial;            /* content octets of the INTEGER */
  int64_t not_before;
  int64_t not_after;
};

struct ks_peer_rules {
  int64_t now;
  const struct ks_filter *filter; /* NULL: none is there, and every status is unknown */
  /*
   * For how long the status may be unknown: of a certificate that is newer than what the filter knows of its issuer, since
   * its notBefore; of one that the filter covers, since the filter's end, until when it still tells what it knows. 0: never.
   */
  int64_t tolerate_unknown_seconds;
  bool cover_path; /* the status of every certificate below the anchor must be known; otherwise the leaf's alone */
};

/*
 * Rejects a peer that is revoked, expired, or unknown for too long. The path, the signatures in it and the name are for
 * the TLS library to verify.
 * @param certificates the path without its anchor, the leaf first.
 * @param depth where not NULL: the place of the certificate at fault.
 * KS_OK, KS_PEER_*, KS_CLOCK_INVALID, KS_CRYPTO_FAILED.
 */
enum ks_result ks_peer_check(const struct ks_crypto *crypto, const struct ks_certificate *certificates, size_t count,
                             const struct ks_peer_rules *rules, size_t *depth);

/* ---- sessions ---- */

/* For the TLS 1.3 exporter (RFC 8446 section 7.5): 32 bytes under this label, with the device id as context. */
#define KS_EXPORTER_LABEL "EXPERIMENTAL keystead session 1"

/*
 * A key for one purpose by HKDF-SHA-256 (RFC 5869). The purpose, the context and the length stand in the info.
 * @param master at least 32 bytes.  @param context at most 512 bytes.  @param purpose 1 to 64 of a-z 0-9 space . -
 * @param length 1 to 8160 bytes.
 * KS_OK, KS_KDF_INPUT, KS_CRYPTO_FAILED; unless KS_OK, `key` is all zeros.
 */
enum ks_result ks_purpose_key(const struct ks_crypto *crypto, struct ks_bytes master, struct ks_bytes salt,
                              struct ks_bytes context, struct ks_bytes purpose, uint8_t *key, size_t length);

struct ks_session_keys {
  uint8_t client_write[KS_SESSION_KEY_BYTES]; /* AES-256 key of what the device sends */
  uint8_t server_write[KS_SESSION_KEY_BYTES]; /* and of what it gets */
};

/*
 * The keys of a session over a TLS 1.3 connection whose client is the device.
 * @param exported what the exporter gave: 32 bytes.  @param device_salt, service_salt 32 bytes from each side.
 */
enum ks_result ks_session_keys(const struct ks_crypto *crypto, struct ks_bytes exported, struct ks_bytes device_id,
                               const uint8_t device_salt[KS_SALT_BYTES], const uint8_t service_salt[KS_SALT_BYTES],
                               struct ks_session_keys *keys);

/* Overwrites in a way that no compiler leaves out. */
void ks_wipe(void *secret, size_t length);

#ifdef __cplusplus
}
#endif

#endif
