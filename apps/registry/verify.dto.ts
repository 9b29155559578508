import { ApiProperty } from '@nestjs/swagger';
import { IsInt, IsString, Matches, Max, MaxLength, Min } from 'class-validator';
import { type Damage, damages } from '#artifacts';
import { MayBeAbsent } from './validators.js';

export class VerifyDto {
  @ApiProperty({
    required: false,
    description: 'The `next` of the step before this one; absent or empty: from the first blob.',
  })
  @MayBeAbsent()
  @Matches(/^(sha256:[0-9a-f]{64})?$/, {
    message: '$property must be the `next` of a step before this one',
  })
  after?: string;

  @ApiProperty({ required: false, default: 1000, minimum: 1, maximum: 1000 })
  @MayBeAbsent()
  @IsInt()
  @Min(1)
  @Max(1000)
  limit?: number;

  @ApiProperty({ required: false, description: 'Only what the versions of this model need.' })
  @MayBeAbsent()
  @IsString()
  @MaxLength(1000)
  model?: string;

  @ApiProperty({
    required: false,
    description: 'Only what this version of the model needs: `3`, `@champion`, `production` …',
  })
  @MayBeAbsent()
  @IsString()
  @MaxLength(1000)
  version?: string;
}

export class BlobUserDto {
  @ApiProperty()
  model: string;

  @ApiProperty()
  version: number;

  @ApiProperty({ enum: ['file', 'program'], description: 'Uploaded, or made by compiling.' })
  kind: 'file' | 'program';

  @ApiProperty({ description: 'Of the file; `program.json` or `weights.bin` of a Program' })
  path: string;
}

export class DamagedBlobDto {
  @ApiProperty({ example: 'sha256:…' })
  digest: string;

  @ApiProperty({ description: 'Bytes that it should have' })
  size: number;

  @ApiProperty({ enum: damages, description: 'What is wrong with the stored bytes' })
  reason: Damage;

  @ApiProperty({ type: [BlobUserDto], description: 'Versions that need it, 100 at most' })
  usedBy: BlobUserDto[];
}

export class VerifiedDto {
  @ApiProperty({ description: 'Blobs that were compared to their end in this step' })
  checked: number;

  @ApiProperty({ description: 'Bytes that were read in this step' })
  bytes: number;

  @ApiProperty({ type: [DamagedBlobDto] })
  damaged: DamagedBlobDto[];

  @ApiProperty({
    type: String,
    nullable: true,
    description: '`after` of the next step; null: all were compared.',
  })
  next: string | null;
}
