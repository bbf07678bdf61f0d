INSERT INTO users (user_id, email, first_name)
    SELECT md5(i::text)::uuid, 'user' || i || '@example.com', 'User ' || i FROM generate_series(1, 12000) i;
INSERT INTO products (product_id, name, category, price)
    SELECT md5(i::text)::uuid, 'Product ' || i, 'tools', i / 100.0 FROM generate_series(1, 10) i;
UPDATE users SET tier = 'silver' WHERE first_name LIKE 'User 11%';
