import { ApiProperty } from '@nestjs/swagger';
import { IsIn } from 'class-validator';
import { type ArchiveFormat, archiveFormats } from './archive.js';
import { SizedFileDto } from './versions.dto.js';

export class ScanDto {
  @ApiProperty({ enum: ['safe', 'code', 'unreadable'] })
  verdict: string;

  @ApiProperty({ type: [String] })
  names: string[];
}

export class ManifestFileDto extends SizedFileDto {
  @ApiProperty({ required: false })
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
