import { readdirSync, readFileSync } from 'node:fs';

/** What a process holds: resident bytes, and open descriptors. Linux only. */
export interface Usage {
  bytes: number;
  descriptors: number;
}

export function usageOf(pid: number): Usage {
  const [, pages] = readFileSync(`/proc/${pid}/statm`, 'latin1').split(' ');
  return { bytes: Number(pages) * 4096, descriptors: readdirSync(`/proc/${pid}/fd`).length };
}
