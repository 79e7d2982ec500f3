export const createProvider = () => ({ name: 'lacking', open: async () => {}, keys: async () => [], plan: 'not a function' });
