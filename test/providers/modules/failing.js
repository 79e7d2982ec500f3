export const createProvider = async () => {
  throw new Error('LB_TOKEN is not set');
};
