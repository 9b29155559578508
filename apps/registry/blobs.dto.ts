import { ApiProperty } from '@nestjs/swagger';

export class StoredBlobDto {
  @ApiProperty({ example: 'sha256:…' })
  digest: string;

  @ApiProperty({ description: 'Bytes' })
  size: number;
}
