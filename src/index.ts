export type { CodedError, SystemError } from './errors.ts';
