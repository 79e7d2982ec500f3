import { createProvider as create } from './complete.js';

export const createProvider = (context) => ({ ...create(context), name: 'local' });
