/** The one node that is no factory: where the roots' policy is in force and its operators are. */
export const HEADQUARTERS = 'headquarters';

/** Name of a factory: it becomes part of an issuer's id, of names in certificates and of file names. */
export const FACTORY_NAME = /^[a-z0-9][a-z0-9-]{0,31}$/;
