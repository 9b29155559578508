import { createHash, randomUUID } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { FolderArtifactStore, digestOf } from '#artifacts';
import type { Program } from '#program';
import pg from 'pg';
import type { Product } from './product.js';
import { flipped, StoredBlobs } from './stored-blobs.js';

/** Reaches behind the product's back into its folder store and its database, to spoil what it has compiled. */
export class StoredPrograms {
  readonly #store: FolderArtifactStore;
  readonly #blobs: StoredBlobs;

  constructor(private readonly product: Product) {
    this.#blobs = new StoredBlobs(product.folder);
    this.#store = new FolderArtifactStore(join(product.folder, 'artifacts'));
  }

  /** The Program of a version, as it was compiled. */
  async read(name: string, version: number): Promise<{ program: Program; digest: string }> {
    const url = `${this.product.url}/api/v1/models/${name}/versions/${version}/program`;
    const bytes = Buffer.from(await (await fetch(url)).arrayBuffer());
    const digest = digestOf(createHash('sha256').update(bytes));
    return { program: JSON.parse(bytes.toString()) as Program, digest };
  }

  /** Turns a bit in the middle of a blob, or removes it. */
  async damage(digest: string, how: 'turn' | 'remove' = 'turn'): Promise<void> {
    if (how === 'remove') await rm(this.#blobs.pathOf(digest));
    else await this.#blobs.alter(digest, flipped(await this.#blobs.read(digest)));
  }

  /** Gives a version another Program, which no compile step has seen; `bytes` stand in for its ONNX file. */
  async replace(
    name: string,
    version: number,
    { bytes, change }: { bytes?: Uint8Array; change?: (program: Program) => void },
  ): Promise<void> {
    const { program } = await this.read(name, version);
    for (const file of bytes ? program.files : []) {
      file.digest = await this.#put(bytes ?? new Uint8Array(0));
      file.size = bytes?.length ?? 0;
    }
    change?.(program);
    const digest = await this.#put(Buffer.from(JSON.stringify(program)));
    const client = new pg.Client(this.product.database);
    await client.connect();
    const { rowCount } = await client.query(
      `UPDATE model_version v SET program_digest = $3 FROM registered_model m
       WHERE m.id = v.model_id AND m.name = $1 AND v.version = $2`,
      [name, version, digest],
    );
    await client.end();
    if (rowCount !== 1) throw new Error(`${name}/${version} is not there`);
  }

  async #put(bytes: Uint8Array): Promise<string> {
    const digest = digestOf(createHash('sha256').update(bytes));
    const staging = this.#store.stage(randomUUID());
    const never = async (): Promise<void> => undefined;
    await staging.append(Readable.from([Buffer.from(bytes)]), never);
    await staging.save();
    await staging.commit(digest, never);
    return digest;
  }
}
