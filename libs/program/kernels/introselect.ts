/**
 * The indices of `values` in the order that numpy's `argpartition(values, kth)` leaves them in: which of equal values come
 * before `kth` is part of the answer. NaN is above all (numpy/core/src/npysort/selection.cpp, 1.7 to 2.x, without the
 * vectorised selection that newer releases have for some processors, whose order of equals is another one).
 */
export function introselect(values: ArrayLike<number>, kth: number): Int32Array {
  const order = Int32Array.from({ length: values.length }, (_, i) => i);
  const at = (place: number): number => values[order[place] ?? 0] ?? NaN;
  const swap = (a: number, b: number): void => {
    const kept = order[a] ?? 0;
    order[a] = order[b] ?? 0;
    order[b] = kept;
  };
  const last = values.length - 1;
  if (kth < 3) {
    for (let i = 0; i <= kth; i++) {
      let least = i;
      for (let k = i + 1; k <= last; k++) if (below(at(k), at(least))) least = k;
      swap(i, least);
    }
    return order;
  }
  if (kth === last) {
    let most = 0;
    for (let k = 1; k <= last; k++) if (!below(at(k), at(most))) most = k;
    swap(kth, most);
    return order;
  }
  let low = 0;
  let high = last;
  while (low + 1 < high) {
    const middle = low + ((high - low) >> 1);
    if (below(at(high), at(middle))) swap(high, middle);
    if (below(at(high), at(low))) swap(high, low);
    if (below(at(low), at(middle))) swap(low, middle);
    swap(middle, low + 1);
    const pivot = at(low);
    let up = low + 1;
    let down = high;
    for (;;) {
      do up += 1;
      while (below(at(up), pivot));
      do down -= 1;
      while (below(pivot, at(down)));
      if (down < up) break;
      swap(up, down);
    }
    swap(low, down);
    if (down >= kth) high = down - 1;
    if (down <= kth) low = up;
  }
  if (high === low + 1 && below(at(high), at(low))) swap(high, low);
  return order;
}

function below(a: number, b: number): boolean {
  return a < b || (b !== b && a === a);
}
