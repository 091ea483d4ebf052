/** Who calls: the certificate proven in the TLS handshake (DER), and the request's id. */
export interface Caller {
  readonly certificate: Uint8Array | undefined;
  readonly requestId: string;
}

/** A certificate as the REST interface gives it out. */
export interface IssuedView {
  /** PEM. */
  readonly certificate: string;
  /** PEM: the intermediates and the anchor above it. */
  readonly chain: string;
  readonly serial: string;
  readonly notAfter: string;
}

export interface UnitView extends IssuedView {
  /** The provisioning record, YAML, exactly the bytes that are signed. */
  readonly record: string;
  /** DER ECDSA signature over the record, base64. */
  readonly signature: string;
}

/** What the REST interface needs of the domain. Each call resolves only when what it did is durable. */
export interface RestDomain {
  whoami(caller: Caller): Promise<{ kind: string; id: string; roles: string[] }>;
  devices(caller: Caller): Promise<unknown>;
  device(caller: Caller, deviceId: string): Promise<unknown>;
  certificate(caller: Caller, serial: string): Promise<unknown>;
  record(caller: Caller, deviceId: string): Promise<unknown>;
  enrolOperator(caller: Caller, name: string, csr: Uint8Array): Promise<IssuedView>;
  enrolServer(caller: Caller, csr: Uint8Array, hosts: string[]): Promise<IssuedView>;
  openBatch(caller: Caller, ticket: string): Promise<{ ticketId: string; quota: number }>;
  provisionUnit(
    caller: Caller,
    unit: { ticketId: string; deviceId: string; csr: Uint8Array; line: string },
  ): Promise<UnitView>;
  revoke(
    caller: Caller,
    what: { deviceId?: string; serial?: string; reason: string },
  ): Promise<{ revoked: string[]; reason: string }>;
  decommission(
    caller: Caller,
    deviceId: string,
    wiped: string[],
  ): Promise<{ evidence: string; signature: string; revoked: string[] }>;
  /** The policy in force, its file and its history. */
  policy(caller: Caller): Promise<unknown>;
  changePolicy(caller: Caller, change: { policy: string; approvals: string }): Promise<unknown>;
  /** A body that never reached the domain: audited where it matters. */
  refused(certificate: Uint8Array | undefined, thrown: unknown, requestId: string): Promise<void>;
}
