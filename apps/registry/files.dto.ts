import { ApiProperty } from '@nestjs/swagger';
import { IsIn } from 'class-validator';
import { type ArchiveFormat, archiveFormats } from './archive.js';
import { SizedFileDto } from './versions.dto.js';

export class ScanDto {
  @ApiProperty({ enum: ['safe', 'code', 'unreadable'] })
  verdict: string;

  @ApiProperty({
    type: [String],
    description: 'Classes and functions that it names beyond what is known to be safe.',
  })
  names: string[];

  @ApiProperty({ required: false, description: 'Why it, or a part of it, cannot be read.' })
  reason?: string;
}

export class ManifestFileDto extends SizedFileDto {
  @ApiProperty({
    required: false,
    description:
      'Of files with a pickle in them: what loading it in Python would do. It is there when the version is no longer pending.',
  })
  scan?: ScanDto;
}

export class ManifestDto {
  @ApiProperty({ type: String, nullable: true })
  digest: string | null;

  @ApiProperty()
  size: number;

  @ApiProperty({ type: [ManifestFileDto], nullable: true })
  files: ManifestFileDto[] | null;
}

export class ArchiveQueryDto {
  @ApiProperty({ required: false, enum: archiveFormats, default: 'tar' })
  @IsIn(archiveFormats)
  format: ArchiveFormat = 'tar';
}
