INSERT INTO orders (customer_id, total) SELECT 1, i / 100.0 FROM generate_series(1, 1000) i;
INSERT INTO not_captured DEFAULT VALUES;
