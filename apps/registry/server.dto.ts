import { ApiProperty } from '@nestjs/swagger';
import { IsBoolean, IsInt, Max, Min } from 'class-validator';
import { MayBeAbsent } from './validators.js';

export class LimitsDto {
  @ApiProperty({ description: 'Bytes of a JSON body' })
  maxBody: number;

  @ApiProperty({ description: 'Rows of a prediction' })
  maxRows: number;

  @ApiProperty({ description: 'Milliseconds of a prediction' })
  predictTimeout: number;
}

export class ServerDto {
  @ApiProperty({ example: '0.1.0' })
  version: string;

  @ApiProperty({ example: 'http://127.0.0.1:8080', description: 'Where clients reach predictions' })
  servingUrl: string;

  @ApiProperty({ type: [String], description: 'Formats that can be served' })
  formats: string[];

  @ApiProperty()
  limits: LimitsDto;
}

export class CollectDto {
  @ApiProperty({
    required: false,
    default: 3600,
    minimum: 0,
    description: 'Garbage younger than this stays.',
  })
  @MayBeAbsent()
  @IsInt()
  @Min(0)
  @Max(365 * 86_400)
  graceSeconds?: number;

  @ApiProperty({ required: false, description: 'Only count.' })
  @MayBeAbsent()
  @IsBoolean()
  dryRun?: boolean;
}

export class CollectedDto {
  @ApiProperty()
  blobs: number;

  @ApiProperty()
  uploads: number;

  @ApiProperty()
  bytes: number;
}
