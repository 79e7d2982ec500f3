import { kubeApiContract } from '../contracts/kube-api.ts';
import { startRealKube } from './real-kube.ts';

/** The suite that the sandbox's API passes in `npm test`, here against the real thing. */
kubeApiContract(startRealKube);
