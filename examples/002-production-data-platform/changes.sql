INSERT INTO orders SELECT 'n-' || i, 'u-' || i % 50, 'r-' || i % 7, 'placed', i / 100.0, jsonb_build_array(jsonb_build_object('sku', 'pizza', 'quantity', i)) FROM generate_series(1, 999) i;
UPDATE orders SET status = 'delivered' WHERE order_id = 'o-1';
