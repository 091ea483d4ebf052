#include "mbedtls.h"

#include <mbedtls/ecdsa.h>
#include <mbedtls/md.h>
#include <mbedtls/pk.h>
#include <mbedtls/x509_crt.h>

static bool digest(mbedtls_md_type_t type, const struct ks_bytes *parts, size_t count, uint8_t *out) {
  mbedtls_md_context_t md;
  mbedtls_md_init(&md);
  bool done = (mbedtls_md_setup(&md, mbedtls_md_info_from_type(type), 0) == 0) && (mbedtls_md_starts(&md) == 0);
  for (size_t index = 0; done && (index < count); index += 1u) {
    done = (parts[index].length == 0u) || (mbedtls_md_update(&md, parts[index].at, parts[index].length) == 0);
  }
  done = done && (mbedtls_md_finish(&md, out) == 0);
  mbedtls_md_free(&md);
  return done;
}

static bool sha256(void *context, const struct ks_bytes *parts, size_t count, uint8_t out[KS_SHA256_BYTES]) {
  (void)context;
  return digest(MBEDTLS_MD_SHA256, parts, count, out);
}

static bool hmac_sha256(void *context, struct ks_bytes key, const struct ks_bytes *parts, size_t count,
                        uint8_t mac[KS_SHA256_BYTES]) {
  mbedtls_md_context_t md;
  (void)context;
  mbedtls_md_init(&md);
  bool done = (mbedtls_md_setup(&md, mbedtls_md_info_from_type(MBEDTLS_MD_SHA256), 1) == 0) &&
              (mbedtls_md_hmac_starts(&md, key.at, key.length) == 0);
  for (size_t index = 0; done && (index < count); index += 1u) {
    done = (parts[index].length == 0u) || (mbedtls_md_hmac_update(&md, parts[index].at, parts[index].length) == 0);
  }
  done = done && (mbedtls_md_hmac_finish(&md, mac) == 0);
  mbedtls_md_free(&md);
  return done;
}

/*
 * The one encoding of a key, to the byte: curve by its name, point uncompressed, lengths in their shortest form. mbedTLS
 * reads others as well, all of which are longer. A key has one hash, by which signers are known.
 */
static size_t encoded_length(mbedtls_ecp_group_id curve) {
  if (curve == MBEDTLS_ECP_DP_SECP256R1) {
    return 91u;
  }
  return (curve == MBEDTLS_ECP_DP_SECP384R1) ? 120u : 0u;
}

/* The whole of a SubjectPublicKeyInfo of P-256 or P-384, and a point that is on its curve. */
static bool open_key(struct ks_bytes spki, mbedtls_pk_context *key, mbedtls_ecp_group_id *curve) {
  unsigned char *at = (unsigned char *)spki.at; /* mbedTLS only reads it */
  const unsigned char *const end = spki.at + spki.length;
  if ((mbedtls_pk_parse_subpubkey(&at, end, key) != 0) || (at != end) ||
      (mbedtls_pk_get_type(key) != MBEDTLS_PK_ECKEY)) {
    return false;
  }
  const mbedtls_ecp_keypair *const pair = mbedtls_pk_ec(*key);
  *curve = pair->grp.id;
  return (spki.length == encoded_length(*curve)) && (mbedtls_ecp_check_pubkey(&pair->grp, &pair->Q) == 0);
}

static bool verify(void *context, enum ks_algorithm algorithm, struct ks_bytes spki, const struct ks_bytes *parts,
                   size_t count, struct ks_bytes signature) {
  const bool wide = algorithm == KS_ES384;
  const size_t octets = wide ? 48u : 32u;
  uint8_t hash[48];
  mbedtls_pk_context key;
  mbedtls_mpi r;
  mbedtls_mpi s;
  mbedtls_ecp_group_id curve = MBEDTLS_ECP_DP_NONE;
  (void)context;
  if ((algorithm == KS_ED25519) || (signature.length != (2u * octets))) {
    return false;
  }
  mbedtls_pk_init(&key);
  mbedtls_mpi_init(&r);
  mbedtls_mpi_init(&s);
  bool good = open_key(spki, &key, &curve) && (curve == (wide ? MBEDTLS_ECP_DP_SECP384R1 : MBEDTLS_ECP_DP_SECP256R1)) &&
              digest(wide ? MBEDTLS_MD_SHA384 : MBEDTLS_MD_SHA256, parts, count, hash) &&
              (mbedtls_mpi_read_binary(&r, signature.at, octets) == 0) &&
              (mbedtls_mpi_read_binary(&s, signature.at + octets, octets) == 0);
  if (good) {
    mbedtls_ecp_keypair *const pair = mbedtls_pk_ec(key);
    good = mbedtls_ecdsa_verify(&pair->grp, hash, octets, &pair->Q, &r, &s) == 0;
  }
  mbedtls_mpi_free(&s);
  mbedtls_mpi_free(&r);
  mbedtls_pk_free(&key);
  return good;
}

static bool check_key(void *context, struct ks_bytes spki) {
  mbedtls_pk_context key;
  mbedtls_ecp_group_id curve = MBEDTLS_ECP_DP_NONE;
  (void)context;
  mbedtls_pk_init(&key);
  const bool good = open_key(spki, &key, &curve);
  mbedtls_pk_free(&key);
  return good;
}

bool ks_mbedtls_spki_sha256(const struct mbedtls_x509_crt *certificate, uint8_t out[KS_SHA256_BYTES]) {
  const struct ks_bytes spki = {certificate->pk_raw.p, certificate->pk_raw.len};
  return sha256(NULL, &spki, 1, out);
}

static bool read_ca(void *context, struct ks_bytes certificate, struct ks_ca *ca) {
  mbedtls_x509_crt parsed;
  (void)context;
  mbedtls_x509_crt_init(&parsed);
  const bool read = (mbedtls_x509_crt_parse_der_nocopy(&parsed, certificate.at, certificate.length) == 0) &&
                    (parsed.raw.len == certificate.length) && ks_mbedtls_spki_sha256(&parsed, ca->spki_sha256);
  ca->is_ca = read && (parsed.ca_istrue != 0);
  ca->not_after = read ? ks_mbedtls_time(&parsed.valid_to) : 0;
  mbedtls_x509_crt_free(&parsed);
  return read;
}

/* Days by the civil calendar: years are counted from March, so that a leap day is the last of its year. */
int64_t ks_mbedtls_time(const struct mbedtls_x509_time *time) {
  const int64_t year = (int64_t)time->year - ((time->mon <= 2) ? 1 : 0);
  const int64_t month = (time->mon <= 2) ? (time->mon + 9) : (time->mon - 3);
  const int64_t day_of_year = (((153 * month) + 2) / 5) + time->day - 1;
  const int64_t days = (365 * year) + (year / 4) - (year / 100) + (year / 400) + day_of_year - 719468;
  return (days * 86400) + (time->hour * 3600) + (time->min * 60) + time->sec;
}

const struct ks_crypto ks_mbedtls = {NULL, sha256, hmac_sha256, verify, check_key, read_ca};
