import { ApiProperty } from '@nestjs/swagger';
import { Transform } from 'class-transformer';
import { IsInt, IsString, Max, MaxLength, Min } from 'class-validator';
import { MayBeAbsent } from './validators.js';

/** What every list takes. */
export class ListQueryDto {
  @ApiProperty({ required: false, minimum: 1, maximum: 1000, default: 50 })
  @Transform(({ value }: { value: unknown }) =>
    typeof value === 'string' && /^\d{1,6}$/.test(value) ? Number(value) : value,
  )
  @IsInt({ message: '$property must be a whole number from 1 to 1000' })
  @Min(1)
  @Max(1000)
  limit: number = 50;

  @ApiProperty({ required: false, description: '`next` of the page before.' })
  @MayBeAbsent()
  @IsString()
  cursor?: string;

  @ApiProperty({
    required: false,
    example: "tags.team = 'risk'",
    description: "MLflow's filter grammar, such as `tags.team = 'risk' AND name LIKE 'iris%'`.",
  })
  @MayBeAbsent()
  @IsString()
  @MaxLength(10_000)
  filter?: string;

  @ApiProperty({
    required: false,
    example: '-createdAt',
    description: 'A field, with `-` for descending; several by comma.',
  })
  @MayBeAbsent()
  @IsString()
  @MaxLength(1000)
  order?: string;
}
