import { HEADQUARTERS } from '@keystead/core/lifecycle';
import type { KeydContext } from './context.ts';

/** Which node this keyd is: the one that its batch tickets must name. */
export const nodeName = ({ hierarchy }: Pick<KeydContext, 'hierarchy'>): string => hierarchy.node?.name ?? HEADQUARTERS;
