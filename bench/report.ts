export async function report(_folder: string): Promise<void> {}
