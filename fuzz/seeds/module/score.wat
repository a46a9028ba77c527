(module
  (memory (export "memory") 2)
  (data (i32.const 0) "{\"code\": \"amount_negative\", \"message\": \"an order's amount is not negative\"}")
  (func (export "alloc") (param $size i32) (result i32) (i32.const 1024))

  (func (export "call") (param $at i32) (param $size i32) (result i64)
    (local $end i32) (local $amount i64)
    (local.set $end (i32.add (local.get $at) (local.get $size)))
    ;; A minus comes first.
    (if (i32.eq (i32.load8_u (local.get $at)) (i32.const 45))
      (then (return (i64.sub (i64.const 0) (i64.const 75)))))
    ;; The digits, one after the other.
    (loop $digit
      (local.set $amount (i64.add
        (i64.mul (local.get $amount) (i64.const 10))
        (i64.extend_i32_u (i32.sub (i32.load8_u (local.get $at)) (i32.const 48)))))
      (local.set $at (i32.add (local.get $at) (i32.const 1)))
      (br_if $digit (i32.lt_u (local.get $at) (local.get $end))))
    (local.set $amount (i64.mul (local.get $amount) (i64.const 2)))
    ;; And back, from the last to the first, before 1024.
    (local.set $at (i32.const 1024))
    (loop $digit
      (local.set $at (i32.sub (local.get $at) (i32.const 1)))
      (i32.store8 (local.get $at) (i32.add (i32.const 48)
        (i32.wrap_i64 (i64.rem_u (local.get $amount) (i64.const 10)))))
      (local.set $amount (i64.div_u (local.get $amount) (i64.const 10)))
      (br_if $digit (i64.ne (local.get $amount) (i64.const 0))))
    (i64.or
      (i64.shl (i64.extend_i32_u (local.get $at)) (i64.const 32))
      (i64.extend_i32_u (i32.sub (i32.const 1024) (local.get $at))))))
