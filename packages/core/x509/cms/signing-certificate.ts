import { sha256 } from '../../crypto/index.ts';
import type { CertificateInfo } from '../certificate.ts';
import { context, integerFromBytes, octetString, sequence } from '../der/writer.ts';
import { CMS_ATTRIBUTES } from './oids.ts';
import type { CmsAttribute } from './signed-parts.ts';

/**
 * The signed attribute that ties a signature to one certificate (RFC 5035 section 3): without it the same key under
 * another certificate, with another purpose, would be taken for the signer. SHA-256 is the default and is left out.
 */
export const signingCertificateV2 = ({
  der,
  issuerDer,
  serial,
}: Pick<CertificateInfo, 'der' | 'issuerDer' | 'serial'>): CmsAttribute => ({
  oid: CMS_ATTRIBUTES.signingCertificateV2,
  value: sequence(
    sequence(
      sequence(
        octetString(sha256(der)),
        // IssuerSerial: GeneralNames with one directoryName [4], which is explicit since Name is a CHOICE.
        sequence(sequence(context(4, issuerDer)), integerFromBytes(Buffer.from(serial, 'hex'))),
      ),
    ),
  ),
});
