export async function stall(_folder: string): Promise<void> {}
