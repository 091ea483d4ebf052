#include "spans.h"

/* The peer check: revoked, expired, or unknown for too long. */

/* Whether what has been unknown since a time may be passed over still. */
static bool is_tolerated(const struct ks_peer_rules *rules, int64_t since) {
  return (since >= 0) && (rules->tolerate_unknown_seconds > 0) &&
         ((rules->now - since) < rules->tolerate_unknown_seconds);
}

static enum ks_result check_time(const struct ks_certificate *certificate, int64_t now) {
  if (now < certificate->not_before) {
    return KS_PEER_NOT_YET_VALID;
  }
  return (now > certificate->not_after) ? KS_PEER_EXPIRED : KS_OK;
}

/* Nothing that cannot be found out is taken for good. */
static enum ks_result check_status(const struct ks_crypto *crypto, const struct ks_certificate *certificate,
                                   const struct ks_peer_rules *rules) {
  const struct ks_filter *const filter = rules->filter;
  /* A certificate that is newer than what the filter knows of its issuer has been unknown since it began. */
  if ((filter == NULL) || (certificate->not_before > ks_filter_through(filter, certificate->issuer_spki_sha256))) {
    return is_tolerated(rules, certificate->not_before) ? KS_OK : KS_PEER_UNKNOWN;
  }
  /* What had ended by the filter's date is not in it, revoked or not, and only a clock that is behind asks for it. */
  if (certificate->not_after <= filter->date) {
    return KS_PEER_UNKNOWN;
  }
  if ((rules->now >= filter->expires) && !is_tolerated(rules, filter->expires)) {
    return KS_PEER_UNKNOWN;
  }
  switch (ks_filter_says(crypto, filter, certificate->issuer_spki_sha256, certificate->serial)) {
    case KS_STATUS_GOOD:
      return KS_OK;
    case KS_STATUS_REVOKED:
      return KS_PEER_REVOKED;
    case KS_STATUS_FAILED:
      return KS_CRYPTO_FAILED;
    case KS_STATUS_NOT_COVERED:
    default:
      /* An issuer that the filter should know: no passing of time makes that better. */
      return KS_PEER_UNKNOWN;
  }
}

enum ks_result ks_peer_check(const struct ks_crypto *crypto, const struct ks_certificate *certificates, size_t count,
                             const struct ks_peer_rules *rules, size_t *depth) {
  enum ks_result result = KS_OK;
  size_t at = 0;
  if (!ks_clock_is_set(rules->now)) {
    result = KS_CLOCK_INVALID;
  } else if (count == 0u) {
    result = KS_PEER_NO_CERTIFICATE;
  } else {
    /* From the anchor down, as RFC 5280 section 6.1 goes. */
    for (size_t left = count; (left > 0u) && (result == KS_OK); left -= 1u) {
      at = left - 1u;
      result = check_time(&certificates[at], rules->now);
    }
    for (size_t left = rules->cover_path ? count : 1u; (left > 0u) && (result == KS_OK); left -= 1u) {
      at = left - 1u;
      result = check_status(crypto, &certificates[at], rules);
    }
  }
  if (depth != NULL) {
    *depth = at;
  }
  return result;
}
