const { createProvider } = require('./complete.js');

exports['createProvider'] = createProvider;
