import { Command } from 'commander';
import { addNodeCommands } from './factory-node.ts';
import { addHeadquartersCommands } from './factory-order.ts';

/** `keystead factory`: a factory node, and headquarters' side of it. REQ-KEY-PROV-01 */
export function factoryCommand(): Command {
  const factory = new Command('factory').description('factory nodes: found, commission, and look at one');
  addNodeCommands(factory);
  addHeadquartersCommands(factory);
  return factory;
}
