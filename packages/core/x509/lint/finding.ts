/** One rule that a certificate breaks. */
export interface LintFinding {
  /** A stable name, for example `serial-length`. */
  readonly rule: string;
  /** Where the rule stands, for example `RFC 5280 4.1.2.2`, or `profile`. */
  readonly source: string;
  /** What was seen. */
  readonly detail: string;
}
