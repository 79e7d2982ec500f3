#!/usr/bin/env node
// `kubectl nodeport-lb …` runs this when it is on PATH under its own name: the same program, which then calls itself so.
process.env.KUBECTL_NODEPORT_LB = 'yes';
await import('./bin.js');
