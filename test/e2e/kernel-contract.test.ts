import { forwarderContract } from '../contracts/forwarder.ts';
import { makeBalancerNet } from './lab/balancer-net.ts';

forwarderContract('nftables', makeBalancerNet);

forwarderContract('userspace', makeBalancerNet, {
  skip: [
    {
      reason: 'a socket at one port says nothing about the other ports of its address',
      tests: ['on an address that is ours alone nothing but the listeners answers'],
    },
  ],
});
