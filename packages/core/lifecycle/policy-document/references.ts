import { type Block, list, section } from './content.ts';

export const referenceSections = (): Block[] => [
  section('References'),
  list(
    'NIST SP 800-57 part 1 revision 5, Recommendation for Key Management: General',
    'NIST SP 800-57 part 2 revision 1, Best Practices for Key Management Organizations',
    'NIST SP 800-130, A Framework for Designing Cryptographic Key Management Systems',
    'NIST SP 800-131A revision 2, Transitioning the Use of Cryptographic Algorithms and Key Lengths',
    'NIST SP 800-90A revision 1, Random Number Generation Using Deterministic Random Bit Generators',
    'FIPS 140-3, Security Requirements for Cryptographic Modules; FIPS 186-5, Digital Signature Standard',
    'RFC 5280 and RFC 6960, X.509 certificates, CRLs and OCSP; RFC 7030, EST; RFC 6962, Certificate Transparency',
    'IEEE 802.1AR-2018, Secure Device Identity',
    'IEC 81001-5-1:2021, Health software and health IT systems safety, effectiveness and security: activities in the product life cycle',
    'Federal Food, Drug, and Cosmetic Act, section 524B, Ensuring Cybersecurity of Devices',
    'FDA, Cybersecurity in Medical Devices: Quality System Considerations and Content of Premarket Submissions',
  ),
];
