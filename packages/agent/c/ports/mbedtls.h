/* The device's cryptography by mbedTLS 2.28: for devices that have it, and to show what a port is. No Ed25519. */
#ifndef KEYSTEAD_PORT_MBEDTLS_H
#define KEYSTEAD_PORT_MBEDTLS_H

#include "../keystead.h"

extern const struct ks_crypto ks_mbedtls;

/* Seconds since 1970 of a time in a certificate, as mbedtls_x509_crt has it: valid_from, valid_to. */
struct mbedtls_x509_time;
int64_t ks_mbedtls_time(const struct mbedtls_x509_time *time);

/* The hash of a certificate's SubjectPublicKeyInfo: for ks_certificate.issuer_spki_sha256 and ks_pin_check. */
struct mbedtls_x509_crt;
bool ks_mbedtls_spki_sha256(const struct mbedtls_x509_crt *certificate, uint8_t sha256[KS_SHA256_BYTES]);

#endif
