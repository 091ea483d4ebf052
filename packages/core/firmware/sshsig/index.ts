export { sshsig, sshsigFormat } from './format.ts';
